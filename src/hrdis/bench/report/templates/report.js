// The browser of rows: nothing is parsed before it is opened, and a hundred rows are shown at a time.
(() => {
  "use strict";
  const box = document.getElementById("browser");
  const $ = (id) => document.getElementById(id);
  const SIZE = 100;
  let all, shown, columns, page = 0, sorted = -1, down = false;

  const open = () => {
    if (!box.open || all) return;
    ({ columns, rows: all } = JSON.parse($("data").textContent));
    all.forEach((row) => row.push(row.slice(1).join(" ").toLowerCase()));
    shown = all;
    const head = document.createElement("tr");
    columns.forEach((name, i) => {
      const th = document.createElement("th"), button = document.createElement("button");
      th.scope = "col";
      if (all.some((row) => typeof row[i] === "string" && row[i])) th.className = "text";
      button.type = "button";
      button.textContent = name;
      button.addEventListener("click", () => sort(i));
      th.append(button);
      head.append(th);
    });
    document.querySelector("#browsed thead").append(head);
    draw();
  };

  const sort = (i) => {
    down = sorted === i ? !down : false;
    sorted = i;
    const empty = (v) => v === null || v === "";
    all.sort((a, b) => {
      if (empty(a[i]) || empty(b[i])) return empty(a[i]) - empty(b[i]);
      const order = typeof a[i] === "number" ? a[i] - b[i] : a[i] < b[i] ? -1 : a[i] > b[i] ? 1 : 0;
      return down ? -order : order;
    });
    [...document.querySelectorAll("#browsed thead th")].forEach((th, n) => {
      th.ariaSort = n === i ? (down ? "descending" : "ascending") : "none";
      th.firstChild.textContent = columns[n] + (n === i ? (down ? " ↓" : " ↑") : "");
    });
    search();
  };

  const search = () => {
    const words = $("search").value.toLowerCase().split(/\s+/).filter(Boolean);
    shown = words.length ? all.filter((row) => words.every((w) => row[columns.length].includes(w))) : all;
    page = 0;
    draw();
  };

  const draw = () => {
    const body = document.querySelector("#browsed tbody");
    body.replaceChildren(...shown.slice(page * SIZE, (page + 1) * SIZE).map((row) => {
      const tr = document.createElement("tr");
      columns.forEach((name, i) => {
        const td = document.createElement("td"), value = row[i];
        if (i === 0 && value) {
          const a = document.createElement("a"), img = document.createElement("img");
          a.href = img.src = value;
          img.loading = "lazy";
          img.alt = "restoration";
          a.append(img);
          td.append(a);
        } else {
          td.textContent = value ?? "";
        }
        if (typeof value === "string") td.className = name === "error" ? "text error" : "text";
        tr.append(td);
      });
      return tr;
    }));
    const pages = Math.max(1, Math.ceil(shown.length / SIZE));
    $("count").textContent = `${shown.length} of ${all.length} rows`;
    $("page").textContent = `${page + 1} of ${pages}`;
    $("before").disabled = page === 0;
    $("after").disabled = page + 1 >= pages;
  };

  box.addEventListener("toggle", open);
  $("search").addEventListener("input", search);
  $("before").addEventListener("click", () => { page -= 1; draw(); });
  $("after").addEventListener("click", () => { page += 1; draw(); });
  open();
})();
