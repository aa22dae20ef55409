"""The environment variables of the reference: who reads each, and its effect."""

#: By name: "hrdis" where the package reads or sets it, else the library that does; the effect.
VARIABLES: dict[str, tuple[str, str]] = {
    "HRDIS_HOME": (
        "hrdis",
        "the folder of downloaded models and cards; otherwise `hrdis` in `XDG_CACHE_HOME`, "
        "`~/.cache` (Linux), `~/Library/Caches` (macOS) or `LOCALAPPDATA` (Windows)",
    ),
    "HRDIS_OFFLINE": (
        "hrdis",
        "any value but empty or `0`: `hrdis model download` refuses to use the network",
    ),
    "XDG_CACHE_HOME": ("hrdis", "see `HRDIS_HOME`"),
    "LOCALAPPDATA": ("hrdis", "see `HRDIS_HOME`"),
    "RANK": (
        "hrdis",
        "`hrdis bench` without `--shard` takes its part of the work from it and `WORLD_SIZE`, as "
        "launchers such as torchrun set them",
    ),
    "WORLD_SIZE": ("hrdis", "see `RANK`"),
    "RAY_AUTH_MODE": (
        "Ray",
        "`token` where a Ray cluster asks for one ([cluster](../how-to/cluster.md))",
    ),
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": (
        "hrdis",
        "hrdis sets it to 0, so that Ray's ports are open to this machine only; set it to 1 "
        "yourself to open them to all",
    ),
    "RAY_USAGE_STATS_ENABLED": (
        "hrdis",
        "hrdis sets it to 0, so that Ray reports nothing; a value of yours stays",
    ),
    "GRADIO_ANALYTICS_ENABLED": (
        "hrdis",
        "hrdis sets it to False, so that the page reports nothing; a value of yours stays",
    ),
    "GRADIO_TEMP_DIR": (
        "hrdis",
        "set by `hrdis serve` to a folder of its own while the page runs",
    ),
    "OMP_NUM_THREADS": (
        "torch",
        "threads of torch on a CPU; another number may change the last bits of a picture",
    ),
    "MALLOC_TRIM_THRESHOLD_": (
        "glibc",
        "when freed memory goes back to the system; without it, commands keep what a network call "
        "frees for the next one, up to 1 GiB",
    ),
    "MALLOC_MMAP_THRESHOLD_": ("glibc", "see `MALLOC_TRIM_THRESHOLD_`"),
    "GLIBC_TUNABLES": ("glibc", "see `MALLOC_TRIM_THRESHOLD_`"),
    "HF_HOME": (
        "huggingface_hub",
        "where the Hugging Face client keeps files of `diffusers:ID`",
    ),
    "HF_ENDPOINT": (
        "huggingface_hub",
        "where the Hugging Face client looks for files of `diffusers:ID`",
    ),
}
