"""Break every solver in small ways, and see whether a test notices.

    python studies/mutants.py  # all; rewrites the table of measurements/reliability.md
    python studies/mutants.py --solvers ddrm fps --no-write

Each mutant is one textual replacement in the solver's file, made in a copy of the tree. First the
tests of that solver are collected once, and every mutant's functions take the place of the sound
ones in a fork of that process, which stops at the first failure. Those that get through, and those
that change a default, are written into the file, and the same tests and the wider suites run in a
new process. A mutant that no test of the default suite kills is a hole in the tests: exit status 1.
"""

import csv
import importlib
import inspect
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import types
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import hypothesis  # noqa: F401  (loaded once, before the forks)
import numpy  # noqa: F401
import pydantic.dataclasses  # noqa: F401
import pytest
import torch
import tyro
from common.pages import DOCS, ROOT, rewrite, table

SOLVERS = ROOT / "src" / "hrdis" / "solvers"
PAGE, FIGURES = DOCS / "measurements" / "reliability.md", DOCS / "data" / "mutants.csv"
PLUGINS = ("cacheprovider", "unraisableexception", "threadexception")  # of pytest, not needed here
LIMIT = 120  # seconds of the processor for one mutant; a run that hangs is noticed

# The mutants: what stands in the file, once, and what is put there.

SHARED = {  # for the names that hand their settings on to HRDIS
    "**self.shared()": [
        "",
        '**self.shared() | {"lr": self.lr / 2**0.5}',
        '**self.shared() | {"lambda_obs": 1.0}',
        '**self.shared() | {"lambda_reg": 0.25}',
        '**self.shared() | {"weight": "linear"}',
        '**self.shared() | {"weight_min": 0.0}',
        '**self.shared() | {"sigma_x0": 0.0}',
        '**self.shared() | {"adam_eps": None}',
        '**self.shared() | {"init": "pinv"}',
        '**self.shared() | {"loss_reduction": "per_image"}',
    ]
}

#: a sampler's last lines, which many share
LAST = {
    "if s >= 0 and self.eta > 0:": ["if s > 0 and self.eta > 0:", "if self.eta > 0:", "if s >= 0:"]
}

MUTANTS: dict[str, dict[str, list[str]]] = {
    "base": {  # the gradient that HRDIS's family and GDP share
        "slope(0.5 * r.abs().square(), x)": ["slope(r.abs().square(), x)"],
        "r, A.adjoint(r)": ["r, -A.adjoint(r)", "r, A.pinv(r)"],
        "loss = 0.5 *": ["loss ="],
        ".mean(1).sum()": [".mean()", ".sum(1).sum()"],
        "scale = x[0].numel() / y[0].numel()": ["scale = y[0].numel() / x[0].numel()", "scale = 1"],
        "A.adjoint(scale * r)": ["A.adjoint(r)", "A.adjoint(-scale * r)", "A.pinv(scale * r)"],
        "return r, scale * gradient": ["return r, gradient", "return r, -scale * gradient"],
    },
    "hrdis": {
        "3 * 256**2": ["256**2"],
        "self.beta**0.5": ["self.beta", "(1 - self.beta) ** 0.5"],
        "mu + self.sigma_x0 * rng": ["mu - self.sigma_x0 * rng"],
        "k < self.fresh_steps": ["k <= self.fresh_steps", "k > self.fresh_steps"],
        "if k > 0 or self.first_update:": ["if k > 1 or self.first_update:",
        "if k >= 0 or self.first_update:"],
        "self.strength(q, t) * (eps - n)": ["self.strength(q, t) * (n - eps)", "(eps - n)",
        "self.strength(q, t) * eps"],
        "betas = (0.9, 0.99)": ["betas = (0.9, 0.999)", "betas = (0.99, 0.99)"],
        'A.init(y) if self.init == "pinv" else A.smooth(y)': ["A.init(y)", "A.smooth(y)"],
        ").clone()  # y is never written to": [")"],
        ".clamp(min=self.weight_min)": ["", ".clamp(max=self.weight_min)"],
        "self.lambda_obs, data": ["1.0, data", "self.lambda_reg, data"],
        "Step(t, mu.clone()": ["Step(t, mu"],
        "1 / mu.numel()": ["1 / mu[0].numel()"],
        "sigma**0.5": ["sigma**0.25"],
        "(1 + sigma).log()": ["sigma.log()"],
        "sigma.clamp(max=1)": ["sigma.clamp(max=2)"],
        "sigma ** (2 / 3)": ["sigma ** (1 / 3)"],
        "self.start + 1": ["self.start"],
        "q.diffuse(x, t, n), t)": ["q.diffuse(mu, t, n), t)"],
    },
    "reddiff": {"beta=1.0": ["beta=0.9"], "first_update=True": ["first_update=False"]} | SHARED,
    "cr": {"beta=0.0": ["beta=0.01", "beta=0.0, first_update=True",
    "beta=0.0, fresh_steps=2"]} | SHARED,
    "cmhrdis": {
        "beta=self.beta": ["beta=0.2"],
        "first_update=self.first_update": ["first_update=False"],
        "| None = 929": ["| None = 928", "| None = None"],
    }
    | SHARED,
    "drddim": {
        "mu + self.sigma_x0 * rng": ["mu - self.sigma_x0 * rng"],
        "q.diffuse(x, t, rng.randn_like(mu))": ["q.diffuse(mu, t, rng.randn_like(mu))"],
        "times[i + 1 : i + self.substeps]": ["times[i + 1 : i + 1 + self.substeps]",
        "times[i : i + self.substeps - 1]"],
        "tau >= 0": ["tau > 20"],
        "self.beta**0.5": ["self.beta", "(1 - self.beta) ** 0.5"],
        "if self.beta > 0 else eps": ["if True else eps"],
        "q.diffuse(x0_hat, tau, n), tau": ["q.diffuse(x0_hat, t, n), tau",
        "q.diffuse(x0_hat, tau, n), t", "q.diffuse(x, tau, n), tau"],
        "/ q.sigma(t) * (x - x0_hat)": ["* (x - x0_hat)", "/ q.sigma(t) * (x0_hat - x)",
        "/ q.sigma(t) * (mu - x0_hat)"],
        "self.strength(q, t) / q.sigma(t)": ["1.0"],
        "data_gradient(A, x, y)": ["data_gradient(A, mu, y)"],
        "len(times) - 1 - i)": ["len(times) - i)"],
        "rms(r)": ["rms(data)"],
        "mu.clone()": ["mu"],
    },
    "blindhrdis": {
        "betas=(0.9, 0.99), eps=1e-5": ["betas=(0.9, 0.999), eps=1e-5",
        "betas=(0.9, 0.99), eps=1e-3"],
        "A.rates[name]": ["0.01"],
        "mu + self.sigma_x0 * rng": ["mu - self.sigma_x0 * rng"],
        "self.beta**0.5": ["self.beta"],
        "if self.beta > 0 else eps": ["if True else eps"],
        "theta[name].grad = gradient": ["theta[name].grad = -gradient"],
        "                adam.step()\n": [""],
        "A.valid(theta).items()": ["theta.items()"],
        "lambda v: A.at(v, theta)": ["lambda v: A(v)"],
        "self.strength(q, t) * (eps - n)": ["self.strength(q, t) * (n - eps)", "(eps - n)"],
        "gradient * gradient[0].numel()": ["gradient"],
        '{"residual": rms(r)}': ['{"residual": rms(data)}'],
        "            if k > 0:\n                update": ["            if k >= 0:\n                update", "            if k > 1:\n                update"],  # noqa: E501
        "            if k > 0:\n                for": ["            if k >= 0:\n                for"],  # noqa: E501
        "{name: v.clone() for name, v in theta.items()}": ["dict(theta)"],
    },
    "ddnm": {
        "x0_hat - A.pinv(r)": ["x0_hat + A.pinv(r)", "x0_hat - A.adjoint(r)"],
        "q.diffuse(x0_y, s, eps)": ["q.diffuse(x0_hat, s, eps)", "q.diffuse(x0_y, t, eps)"],
        "rng.randn_like(x_t), self.eta)": ["rng.randn_like(x_t), self.eta**2)",
        "rng.randn_like(x_t), (1 - self.eta**2) ** 0.5)"],
        "q.diffuse(x0_hat, s, rng.randn_like(x_t))": ["q.diffuse(x0_y, s, rng.randn_like(x_t))",
        "q.diffuse(x0_hat, t, rng.randn_like(x_t))"],
        "Step(t, x0_y, {": ["Step(t, x0_hat, {", "Step(s, x0_y, {"],
        "rms(r)": ["rms(A.pinv(r))"],
        "self.length, self.repeat": ["self.repeat, self.length"],
        "self.steps, self.start": ["self.steps"],
        "times[0], rng": ["times[1], rng"],
    }
    | LAST,
    "ddnmplus": {
        "sv * b >= a * problem.sigma_y": ["sv * b > a * problem.sigma_y",
        "sv * b < a * problem.sigma_y", "sv * b >= problem.sigma_y", "b >= a * problem.sigma_y"],
        "ratio * (1 - self.eta**2) ** 0.5": ["ratio * (1 - self.eta**2)", "ratio",
        "(1 - self.eta**2) ** 0.5"],
        "(b**2 - (a * problem.sigma_y /": ["(b**2 - (problem.sigma_y /",
        "(b - (a * problem.sigma_y /"],
        "(self.eta * b).to(sv)": ["(self.eta**2 * b).to(sv)", "b.to(sv)"],
        "torch.where(blind | ~hidden, (self": ["torch.where(blind, (self"],
        "d2 = torch.where(blind, ": ["d2 = torch.where(~hidden, "],
        "d2 * A.Vt(eps))": ["d2 * eps.reshape_as(d1 * A.Vt(z)))", "d1 * A.Vt(eps))"],
        "A.filter(kept, back)": ["back", "A.filter(kept**2, back)"],
        "x0_hat - correction": ["x0_hat + correction"],
        "q.signal(s) * x0_y + noise": ["x0_y + noise", "q.signal(t) * x0_y + noise"],
        "min(1.0, float": ["max(1.0, float"],
        "(a * kept * sigma_y) ** 2": ["(kept * sigma_y) ** 2", "(a * kept * sigma_y)"],
        "mix(eps, z, self.eta)": ["mix(eps, z, self.eta**2)", "mix(z, eps, self.eta)"],
        "kept * back, gamma": ["back, gamma"],
        "q.diffuse(x0_hat, s, rng": ["q.diffuse(x0_y, s, rng"],
        "s >= 0 and (self.eta": ["s > 0 and (self.eta"],
        "(self.eta > 0 or move == self._exact)": ["True"],
        "rms(r)": ["rms(A.pinv(r))"],
    },
    "ddrm": {
        "known = s_i * w > sigma_y": ["known = s_i * w > 100 * sigma_y", "known = w > sigma_y"],
        "torch.where(s_i * w > sigma_y, above": ["torch.where(s_i * w >= sigma_y, above",
        "torch.where(w > sigma_y, above"],
        "(w**2 - (share * sigma_y * back) ** 2)": ["(w**2 - (share * sigma_y) ** 2)",
        "(w - (share * sigma_y * back) ** 2)", "(w**2 + (share * sigma_y * back) ** 2)"],
        "A.V(X) / w": ["A.V(X) * q.signal(times[0])"],
        "            w = q.sigma(s)": ["            w = q.sigma(t)"],
        "+ self.eta * w * z_s": ["+ self.eta**2 * w * z_s", "- self.eta * w * z_s"],
        "(1 - self.eta**2) ** 0.5 * w * along": ["(1 - self.eta) ** 0.5 * w * along",
        "(1 - self.eta**2) * w * along"],
        "r / sigma_y if": ["r if"],
        "torch.where(s_i > 0, r": ["torch.where(s_i >= 0, r", "torch.where(s_i < 0, r"],
        "(1 - self.eta_b) * x_s": ["x_s"],
        "self.eta_b * y_s * back": ["y_s * back", "self.eta_b * y_s"],
        "spread(w, self.eta_b)": ["spread(w, 1.0)"],
        "q.signal(s) * A.V(": ["A.V("],
        "A.Vt(rng.randn_like(x_t)) if s >= 0": ["A.Vt(rng.randn_like(x_t)) if s > 0",
        "rng.randn_like(x_t).reshape_as(x_s) if s >= 0"],
        "Step(t, x0_hat, {": ["Step(t, x_t, {"],
        "spread(w, 1.0) * A.Vt(z)": ["w * A.Vt(z)", "spread(w, 1.0) * A.Vt(z) / 2**0.5"],
    },
    "dds": {
        "v + self.gamma * A.normal(v)": ["v + A.normal(v)", "self.gamma * v + A.normal(v)"],
        "x0_hat + self.gamma * Aty": ["self.gamma * Aty", "x0_hat + Aty"],
        "                    x0_hat,\n                    self.cg_steps,": ["                    Aty,\n                    self.cg_steps,", "                    x0_hat,\n                    self.cg_steps + 1,"],  # noqa: E501
        "cg(A.normal, Aty, x0_hat, self.cg_steps)": ["cg(A.normal, Aty, 0 * x0_hat, self.cg_steps)", "cg(A.normal, Aty, x0_hat, self.cg_steps - 1)"],  # noqa: E501
        "problem.sigma_y > 0, A.adjoint(y)": ["problem.sigma_y == 0, A.adjoint(y)",
        "problem.sigma_y > 0, A.pinv(y)"],
        "rng.randn_like(x_t), self.eta)": ["rng.randn_like(x_t), self.eta**2)"],
        "q.diffuse(x0_y, s, eps)": ["q.diffuse(x0_hat, s, eps)", "q.diffuse(x0_y, t, eps)"],
        "Step(t, x0_y, {": ["Step(t, x0_hat, {"],
        "rms(A(x0_hat) - y)": ["rms(A(x0_y) - y)"],
    }
    | LAST,
    "diffpir": {
        ".x0_hat.clamp(-1, 1)": [".x0_hat", ".x0_hat.clamp(0, 1)"],
        "problem.sigma_y / 2) ** 2": ["problem.sigma_y) ** 2", "problem.sigma_y / 2)",
        "problem.sigma_y / 2**0.5) ** 2"],
        "max(0.001, problem": ["max(0.01, problem"],
        "self.lam * max": ["max"],
        "float(q.sigma(t)) ** 2": ["float(q.sigma(t))", "float(q.noise(t)) ** 2"],
        "q.signal(t) * x0_y) / q.noise(t)": ["q.signal(t) * x0_hat) / q.noise(t)",
        "q.signal(t) * x0_y) / q.noise(s)", "x0_y) / q.noise(t)"],
        "self.zeta**0.5": ["self.zeta", "(1 - self.zeta) ** 0.5"],
        "q.diffuse(x0_y, s, eps)": ["q.diffuse(x0_hat, s, eps)"],
        "if s >= 0 and self.zeta > 0": ["if s > 0 and self.zeta > 0", "if s >= 0"],
        "Step(t, x0_y, {": ["Step(t, x0_hat, {"],
        "rms(A(x0_hat) - y)": ["rms(A(x0_y) - y)"],
        "schedule.quadratic": ["schedule.uniform"],
    },
    "dps": {
        "- zeta * gradient": ["+ zeta * gradient", "- zeta / 2**0.5 * gradient",
        "- zeta * q.signal(s) * gradient"],
        "A(x0_hat.clamp(-1, 1) if clamped else x0_hat)": ["A(x0_hat)", "A(x0_hat.clamp(-1, 1))"],
        "(2 * u.clamp(min=DARKEST)) ** -0.5": ["(2 * u.clamp(min=DARKEST)) ** -1", "(2 * u) ** -0.5"],  # noqa: E501
        "if problem.A.unit_range else (problem.y + 1) / 2": ["if not problem.A.unit_range else (problem.y + 1) / 2"],  # noqa: E501
        "x0_hat = found.x0_hat.clamp(-1, 1) if clamped else found.x0_hat\n": [
        "x0_hat = found.x0_hat\n"],
        "return norm(root": ["return 0.5 * norm(root", "return norm(y).square() / 2 + 0 * norm(root"],  # noqa: E501
        'self.form == "ddim" and self.start is None': ['self.form == "ddim" and False',
        "self.start is None"],
        "q.diffuse(A.pinv(y), times[0], z)": ["q.diffuse(A.pinv(y), times[1], z)"],
        "x_s + std * rng": ["x_s + std**2 * rng", "x_s + rng"],
        "on_x0 * x0_hat + on_xt * x_t": ["on_xt * x0_hat + on_x0 * x_t"],
        "                if s >= 0:": ["                if s > 0:"],
        "y[0].numel() ** 0.5": ["y[0].numel()", "x_t[0].numel() ** 0.5"],
        "x0_hat if s >= 0 else x_t.clone()": ["x_t.clone()"],
        "q.ddim_share(t, s, self.eta)": ["q.ddim_share(t, s, 1.0)",
        "q.ddim_share(t, s, self.eta) ** 2"],
        "q.diffuse(x0_hat, s, noise)": ["q.diffuse(x0_hat, t, noise)"],
    },
    "pigdm": {
        "problem.sigma_y**2 / float(1 - q[t])": ["problem.sigma_y / float(1 - q[t])",
        "problem.sigma_y**2 / float(q[t])", "problem.sigma_y**2", "0.0",
        "problem.sigma_y**2 * float(1 - q[t])"],
        "A.prox(x, y, rho) - x, x0_hat": ["x - A.prox(x, y, rho), x0_hat",
        "A.prox(x, y, rho), x0_hat"],
        "x = x0_hat.detach()": ["x = x0_hat"],
        "(1 - mask) * g\n": ["g\n"],
        "mask * y + (1 - mask) * x0_hat": ["x0_hat", "y + (1 - mask) * x0_hat"],
        "and problem.sigma_y == 0\n": ["\n"],
        "self.weight * q.signal(s) * q.signal(t) * g": ["self.weight * q.signal(t) * g",
        "q.signal(s) * q.signal(t) * g", "self.weight * q.signal(s) ** 2 * g"],
        "q.ddim_share(t, s, self.eta)": ["q.ddim_share(t, s, 1.0)",
        "q.ddim_share(t, s, self.eta) ** 2"],
        "A.pinv(y) if self.start is None": ["A.adjoint(y) if self.start is None"],
        "if share > 0 else eps": ["if s >= 0 else eps"],
        "x0_hat if s >= 0 else x_t.clone()": ["x_t.clone()", "x0_hat"],
        "r = A(x0_hat) - y": ["r = A.project(x0_hat, y) - x0_hat"],
    },
    "gdp": {
        ".x0_hat.clamp(-1, 1)": [".x0_hat"],
        "- kappa * g": ["+ kappa * g", "- kappa / 2**0.5 * g", "- std * kappa * g"],
        "(2 * x_t[0].numel())": ["x_t[0].numel()", "(2 * x_t.numel())"],
        'self.guide == "x0"': ['self.guide == "xt"'],
        "g = A.pinv(r)": ["g = A.adjoint(r)", "g = 2 * A.pinv(r)"],
        "on_x0 * x0_hat + on_xt * x_t": ["on_xt * x0_hat + on_x0 * x_t", "on_x0 * x0_hat"],
        "x_t + std * rng": ["x_t + std**2 * rng", "x_t - std * rng"],
        "            if s >= 0:": ["            if s > 0:", "            if True:"],
        "x0_hat if s >= 0 else x_t.clone()": ["x_t.clone()"],
        "4000 / (2 * 3 * 256**2)": ["4000 / (3 * 256**2)"],
    },
    "fps": {
        "q.noise(s) / q.noise(t) * (path[-1] - q.signal(t) * y)": ["(path[-1] - q.signal(t) * y)",
        "q.noise(s) / q.noise(t) * (path[-1] - y)"],
        "kept + c**0.5 * q.noise(s) * noise()": ["kept + c * q.noise(s) * noise()",
        "kept + q.noise(s) * noise()"],
        "kept = (1 - c) ** 0.5": ["kept = (1 - c)"],
        "q.signal(s) * y + kept": ["y + kept"],
        "q.diffuse(y, times[0], noise())": ["noise()"],
        "float(q[times[0]]) * problem.sigma_y**2": ["problem.sigma_y**2",
        "float(q[times[0]]) * problem.sigma_y"],
        "float(1 - q[t]))": ["1.0)"],
        "x0_hat.clamp(-1, 1) if self.clamp": ["x0_hat.clamp(-1, 1) if not self.clamp"],
        "seen = x0_hat[0].clone()\n            if y_s is None:\n                x_t = x0_hat\n            else:\n                m =": ["seen = x0_hat[-1].clone()\n            if y_s is None:\n                x_t = x0_hat\n            else:\n                m =", "seen = x0_hat[0].clone()\n            if y_s is None:\n                x_t = x_t\n            else:\n                m ="],  # noqa: E501
        "m = q.signal(s) * x0_hat + (1 - c) ** 0.5 * q.noise(s) * eps": ["m = q.signal(s) * x0_hat + (1 - c) * q.noise(s) * eps", "m = q.signal(s) * x0_hat + (1 - c) ** 0.5 * q.noise(t) * eps", "m = q.signal(s) * x0_hat"],  # noqa: E501
        "c * float(1 - q[s]), float(q[s]) * problem": ["float(1 - q[s]), float(q[s]) * problem",
        "c * float(1 - q[s]), problem", "c**2 * float(1 - q[s]), float(q[s]) * problem"],
        "_log_weight(A, m_k, y_s, q_s, v_s)": ["_log_weight(A, m_k, y_s, q_s, 2 * v_s)",
        "_log_weight(A, m_k, problem.y, q_s, v_s)"],
        "(q * shrink).sqrt()": ["(q * shrink)", "q**0.5 * shrink"],
        "A.Vt(m) + q / v * s * A.Ut(y)": ["A.Vt(m) + q / v * A.Ut(y)", "A.Vt(m) + s * A.Ut(y)"],
        "1 / (1 + q / v * s**2)": ["1 / (1 + q / v * s)"],
        "A.Vt(m + q**0.5 * z)": ["A.Vt(m + q * z)", "A.Vt(m)"],
        "u / (v + q * s**2)": ["u / (v + q)", "u / v"],
        "-0.5 * torch.where": ["-1.0 * torch.where", "0.5 * torch.where"],
        "q.ddim_share(t, s, 1.0)) ** 2": ["q.ddim_share(t, s, 1.0))"],
        "rng.randn(y.shape[1:], like=y) if own > 0": ["0 if own > 0"],
        "(variance * s**2 + sigma_y**2 + (s == 0))": ["(s**2 + sigma_y + (s == 0))"],
        "e + sigma_y * off if sigma_y > 0 else e": ["e", "e - sigma_y * off if sigma_y > 0 else e"],
        "+ kept * q.noise(t)) * e_t": ["+ kept) * e_t", "+ q.noise(t)) * e_t"],
        "fresh**2 * (s**2 + sigma_y**2) + (s == 0)": ["fresh**2 * s**2 + (s == 0)"],
        "- sigma_y * e_k, 0 * s": [", 0 * s"],
        "_resample(e_t, weights, u)\n": ["e_t\n"],
        "float(c**0.5 * q.noise(s))": ["float(c * q.noise(s))"],
        "right=True": ["right=False"],
        "max=weights.shape[1] - 1\n": ["max=weights.shape[1]\n"],
        "return x_t[0].clone()\n\n    def _path": ["return x_t[-1].clone()\n\n    def _path", "return x_t.mean(0)\n\n    def _path"],  # noqa: E501
    },
    "daps": {
        "SIGMA_MAX = 100.0": ["SIGMA_MAX = 80.0"],
        "(x - x0_hat)\n": ["(x0_hat - x)\n"],
        "/ q.sigma(tau_t) * (x": ["* (x"],
        "q.signal(tau_t) * x, tau_t": ["x, tau_t", "q.signal(tau_t) * x, tau_s"],
        "self.lr * (1 - 0.99 * k": ["self.lr * (1 - k", "self.lr * (1 - 0.99 * (k + 1)"],
        "max(len(times) - 2, 1)": ["max(len(times) - 1, 1)"],
        "/ self.tau**2": ["/ self.tau", "/ (2 * self.tau**2)"],
        "(v - x0_hat) / q.sigma(t) ** 2": ["(v - x0_hat) / q.sigma(t)",
        "(x0_hat - v) / q.sigma(t) ** 2", "v / q.sigma(t) ** 2"],
        "v - step * pull": ["v + step * pull"],
        "(2 * step) ** 0.5": ["step**0.5", "(2 * step)"],
        "v + q.sigma(s) * rng": ["v + q.sigma(t) * rng", "x0_hat + q.sigma(s) * rng",
        "v + q.noise(s) * rng"],
        "A.smooth(y) + x": ["x"],
        "self.ode_steps + 1": ["self.ode_steps"],
        "first ** (1 / 7)": ["first ** (1 / 5)"],
        ") ** 7": [") ** 5"],
        "[t, -1]": ["[t]"],
        "rms(A(v) - y)": ["rms(A(x) - y)"],
        "x = q.sigma(times[0]) * rng": ["x = rng"],
    },
    "mmps": {
        "(1 - q[t]) / q.signal(t)": ["(1 - q[t])", "q.noise(t) / q.signal(t)"],
        "+ problem.sigma_y**2 * v": ["", "+ problem.sigma_y * v"],
        "r = (A(x0_hat) - y) * seen": ["r = A(x0_hat) - y"],
        "return x0_hat + spread(u)": ["return x0_hat - spread(u)", "return x0_hat + A.adjoint(u)"],
        "(x_t - q.signal(t) * x0_y) / q.noise(t)": ["(x_t - q.signal(t) * x_t) / q.noise(t)", "(x_t - x0_y) / q.noise(t)"],  # noqa: E501
        "q.ddim_share(t, s, self.eta)": ["q.ddim_share(t, s, 1.0)", "q.ddim_share(t, s, self.eta) ** 2"],  # noqa: E501
        "if share > 0 else eps": ["if s >= 0 else eps"],
        "rms(r)": ["rms(r) ** 2"],
    },
    "overrelaxed": {
        "t > self.mmps_above": ["t < self.mmps_above", "t >= self.mmps_above + 400"],
        "(x_t - q.signal(t) * shown)": ["(x_t - shown)"],
        "q.ddim_share(t, after, 1.0)": ["q.ddim_share(t, after, 0.5)"],
        "q.diffuse(shown, after, eps), None": ["q.diffuse(shown, t, eps), None", "q.diffuse(shown, after, eps), mu"],  # noqa: E501
        "(q.sigma(t) ** 2 + s**2))": ["(q.sigma(t) ** 2 + s))", "s**2)"],
        "problem.sigma_y**2 / c)": ["problem.sigma_y**2 * c)", "problem.sigma_y / c)", "problem.sigma_y**2)"],  # noqa: E501
        "mu is None:": ["mu is None and t < 0:"],
        "m + self.alpha * (mu - m)": ["m - self.alpha * (mu - m)", "m + (mu - m)"],
        "(1 - self.alpha**2) ** 0.5": ["(1 - self.alpha) ** 0.5", "(1 - self.alpha**2)"],
        "fresh = mu is not m and self.alpha > -1": ["fresh = self.alpha > -1"],
        "q.diffuse(mu, after, rng": ["q.diffuse(m, after, rng", "q.diffuse(mu, t, rng"],
        "c * problem.sigma_y**2 / (problem": ["c * problem.sigma_y / (problem", "c / (problem"],
        "torch.where(blind, c, seen).sqrt()": ["torch.where(blind, c, seen)", "c**0.5 + 0 * seen"],
        "if t <= self.back]": ["if t < self.back]"],
        "rms(A(x0_hat) - y)": ["rms(A(m) - y)"],
        "max(problem.sigma_y, FLOOR)": ["max(problem.sigma_y**2, FLOOR)"],
        "self.chain - 1": ["self.chain"],
    },
    "fire": {
        '"mean": -1,': ['"mean": 0,', '"mean": 1,'],
        '"sample": 1}': ['"sample": 0.5}'],
        "problem.sigma_y**2 / nu)": ["problem.sigma_y**2 * nu)", "problem.sigma_y / nu)", "0.0)"],
        "if self.own_noise and k == 0:": ["if False:", "if self.own_noise:"],
        "q.signal(s) * (x0_y + noise)": ["q.signal(s) * x0_y + noise", "q.signal(s) * (x0_hat + noise)"],  # noqa: E501
        "return sigma**2 * self.spread**2 / (sigma**2 + self.spread**2)": ["return sigma**2", "return sigma**2 * self.spread / (sigma**2 + self.spread)"],  # noqa: E501
        "schedule.nearest(2 * self.own_noise)": ["schedule.nearest(self.own_noise)"],
        "least = 2 * self.least_noise": ["least = self.least_noise"],
        "if problem.sigma_y < least:": ["if False:", "if least:"],
        "return min(error, sigma) ** 2": ["return error**2", "return min(error, sigma)"],
        "nu * problem.sigma_y**2 / (": ["nu * problem.sigma_y / (", "problem.sigma_y**2 / ("],
        "sigma**2 + KAPPA[self.aim] * E": ["sigma + KAPPA[self.aim] * E"],
        "variance.clamp(min=0).sqrt()": ["variance.clamp(min=0)"],
        "(variance < 0)": ["(variance > 0)"],
        "E = nu * sigma_y**2 / (sigma_y**2 + nu * top)": ["E = nu * sigma_y**2 / (sigma_y**2 + top)"],  # noqa: E501
        "((nu - E) / top).sqrt()": ["(nu - E).sqrt()", "((nu - E) / top)"],
        "own - A.pinv(A(own))": ["own - A.adjoint(A(own))", "own"],
        "sigma_y**2 / nu * own": ["sigma_y / nu * own"],
        "A.normal(v) + ratio * v": ["A.normal(v) + v"],
    },
    "cm4ir": {
        "(-1 if self.flip else 1)": ["(1 if self.flip else 1)", "(-1 if self.flip else -1)"],
        "(1 - self.eta**2) ** 0.5 * eps": ["(1 - self.eta) ** 0.5 * eps", "eps"],
        "n + self.eta * rng": ["n + self.eta**0.5 * rng", "n + rng"],
        "self.zeta * problem.sigma_y**2)": ["problem.sigma_y**2)", "self.zeta * problem.sigma_y)", "0.0)"],  # noqa: E501
        "if s < 0 and problem.sigma_y > 0:": ["if s < 0:", "if False:"],
        "q.diffuse(x0_y, s, n)": ["q.diffuse(x0_hat, s, n)", "q.diffuse(x0_y, t, n)"],
        "- q.signal(t) * x0_hat) / q.noise(t)": ["- x0_hat) / q.noise(t)"],
        "            if self.clamp:": ["            if not self.clamp:"],
        "(1 + self.gamma)": ["self.gamma"],
        "rms(r)": ["rms(A.project(x0_hat, y) - x0_hat)"],
        "if s >= 0 and self.eta > 0": ["if s > 0 and self.eta > 0", "if self.eta > 0"],
    },
    "repaint": {
        "(1 - q[s] / q[t]).sqrt()": ["(1 - q[s] / q[t])", "(1 - q[s]).sqrt()"],
        ".x0_hat.clamp(-1, 1)": [".x0_hat"],
        "q.ancestral(t, s, found.v)": ["q.ancestral(t, s, None)"],
        "on_x0 * x0_hat + on_xt * x_t": ["on_xt * x0_hat + on_x0 * x_t"],
        "unknown + std * rng": ["unknown + std**2 * rng", "unknown + rng"],
        "offset = unknown - q.noise(s) * rng.randn_like(x_t)": ["offset = unknown", "offset = unknown - q.noise(t) * rng.randn_like(x_t)"],  # noqa: E501
        "q.signal(s) * y)": ["y)", "q.signal(t) * y)"],
        "unknown - A.pinv(": ["unknown - A.adjoint(", "unknown + A.pinv("],
        "x0_hat - A.pinv(r)": ["x0_hat"],
        "            if s >= 0:": ["            if s > 0:"],
        "self.length, self.repeat": ["self.repeat, self.length"],
        "rms(r)": ["rms(A.pinv(r))"],
    },
}  # fmt: skip

# ---- the tests that should notice
# -------------------------------------------------------------------

OWN = {"base": ["solvers/test_hrdis.py"], "hrdis": ["solvers/test_hrdis.py"],
    "reddiff": ["solvers/test_hrdis.py"], "cr": ["solvers/test_hrdis.py"],
       "ddnm": ["solvers/test_ddnm.py"], "fire": ["solvers/test_fire.py"],
       "cm4ir": ["solvers/test_cm4ir.py"], "repaint": ["solvers/test_repaint.py"],
       "overrelaxed": ["solvers/test_overrelaxed.py"]}  # fmt: skip
FORMULAS = [  # the file that notices most comes first
    "solvers/test_formulas.py",
    "solvers/test_residual.py",
    "solvers/test_equalities.py",
    "solvers/test_exact_law.py",
]
WIDER = ["common/test_solvers.py", "solvers/test_posterior.py"]
RECORDED = (
    "hrdis",
    "reddiff",
    "ddnm",
    "ddrm",
    "dps",
    "pigdm",
)  # those with runs of the official code


def notices(tree: Path, solver: str, verbose: bool = False, wider: bool = True) -> str:
    """The first file with a test that fails in the tree, or "" if none does."""
    stages = [(OWN.get(solver, []), ""), (FORMULAS, f"{solver} and not fault_of")]
    if wider:
        stages += [(["test_golden.py"] if solver in RECORDED else [], ""), (WIDER, solver)]
    for files, keyword in stages:
        for file in files:
            if _forked(tree, [f"tests/{file}", *(["-k", keyword] if keyword else [])], verbose):
                return file
    return ""


class InPlace:
    """A plugin of pytest that runs the collected tests once for every mutant, each in a fork."""

    def __init__(self, solver: str, sound: str, sources: list[str], found: Path) -> None:
        self.solver, self.sound, self.sources, self.found = solver, sound, sources, found

    def pytest_runtestloop(self, session: Any) -> bool:
        """Write for every source the file of the first test that fails, or "".

        A test that fails with the sound source put in says nothing.
        """
        noticed = [self.failing(session.items, source, first=True) for source in self.sources]
        killers = {nodeid for failed in noticed for nodeid in failed}
        asked = [item for item in session.items if item.nodeid in killers]
        void = set(self.failing(asked, self.sound, first=False))
        files = []
        for failed in noticed:
            told = [nodeid for nodeid in failed if nodeid not in void]
            files.append(told[0].split("::")[0].removeprefix("tests/") if told else "")
        self.found.write_text(json.dumps(files))
        return True

    def failing(self, items: list[Any], source: str, first: bool) -> list[str]:
        """Return the first test, or all, that fail with a source put in, from a fork."""
        with tempfile.NamedTemporaryFile("r") as told:
            child = os.fork()
            if child == 0:
                _bound()
                put_in(importlib.import_module(f"hrdis.solvers.{self.solver}"), source)
                names = []
                for item, after in zip(items, [*items[1:], None], strict=True):
                    before = item.session.testsfailed
                    item.config.hook.pytest_runtest_protocol(item=item, nextitem=after)
                    if item.session.testsfailed > before:
                        names.append(item.nodeid)
                        if first:
                            break
                Path(told.name).write_text("\n".join(names))
                os._exit(0)
            os.waitpid(child, 0)
            return told.read().splitlines()


def _bound() -> None:
    """End this process when it has had LIMIT seconds of the processor, or hangs."""
    resource.setrlimit(resource.RLIMIT_CPU, (LIMIT, LIMIT + 5))
    signal.alarm(20 * LIMIT)


def put_in(module: types.ModuleType, source: str) -> None:
    """Let the functions, methods and constants of a source take the place of a module's."""
    other = types.ModuleType(module.__name__)
    other.__dict__.update(__file__=module.__file__, __package__=module.__package__)
    exec(compile(source, str(module.__file__), "exec"), other.__dict__)
    for name, value in vars(other).items():
        old = vars(module).get(name)
        if inspect.isclass(value) and value.__module__ == module.__name__:
            for attribute, member in vars(value).items():
                function = member.fget if isinstance(member, property) else member
                function = getattr(function, "__func__", function)
                function = inspect.unwrap(function) if callable(function) else function
                if (
                    inspect.isfunction(function)
                    and function.__code__.co_filename == module.__file__
                ):
                    for cell in function.__closure__ or ():
                        if cell.cell_contents is value:
                            cell.cell_contents = old  # what super() refers to
                    setattr(old, attribute, member)
        own = inspect.isfunction(value) and value.__module__ == module.__name__
        if own or (isinstance(value, (int, float, str)) and not name.startswith("__")):
            setattr(module, name, value)


def in_place(tree: Path, solver: str, sources: list[str]) -> list[str]:
    """Return for every source the file of the first test that fails, "" where that is not known."""
    noticed = [""] * len(sources)
    stages = [(FORMULAS, f"{solver} and not fault_of")]
    if solver in OWN:
        stages.append((OWN[solver], ""))
    sound = (SOLVERS / f"{solver}.py").read_text()
    for files, keyword in stages:
        left = [k for k, file in enumerate(noticed) if not file]
        with tempfile.TemporaryDirectory() as folder:
            found = Path(folder) / "found.json"
            plugin = InPlace(solver, sound, [sources[k] for k in left], found)
            arguments = [f"tests/{file}" for file in files]
            _forked(tree, [*arguments, *(["-k", keyword] if keyword else [])], False, [plugin])
            others = json.loads(found.read_text()) if found.exists() else [""] * len(left)
        for k, file in zip(left, others, strict=True):
            noticed[k] = file
    return noticed


def _forked(
    tree: Path, arguments: list[str], verbose: bool, plugins: Iterable[object] = ()
) -> bool:
    """Whether pytest fails in a child process; it has to find tests, or finds none where a file has
    none of a solver.
    """
    child = os.fork()
    if child == 0:
        if not plugins:
            _bound()
        if not verbose:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 1)
            os.dup2(null, 2)
        os.chdir(tree)
        sys.path[:0] = [str(tree / "src"), str(tree)]
        sys.dont_write_bytecode = False  # a test file is compiled once for all mutants
        os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # these take longer than the tests
        without = [word for name in PLUGINS for word in ("-p", f"no:{name}")]
        words = ["-x", "-q", *without, "--rootdir", str(tree), *arguments]
        code = pytest.main(words, plugins=list(plugins))
        os._exit(0 if code in (0, 5) else 1)
    return os.waitpid(child, 0)[1] != 0


def missing(solvers: Iterable[str] = tuple(MUTANTS), folder: Path = SOLVERS) -> list[str]:
    """Return a line for every pattern that does not stand exactly once in its solver's file.

    A formatter that breaks a line leaves a mutant that changes nothing, or cannot be made.
    """
    wrong = []
    for solver in solvers:
        if solver not in MUTANTS:
            wrong.append(
                f"{solver}: no mutants are known. One of {', '.join(MUTANTS)} is expected."
            )
            continue
        text = (folder / f"{solver}.py").read_text(encoding="utf-8")
        for pattern in MUTANTS[solver]:
            count = text.count(pattern)
            if count != 1:
                wrong.append(
                    f"{solver}: {pattern!r} stands {count} times in the file; once is expected."
                )
    return wrong


def _warm() -> None:
    """Load what torch loads late, so that forked tests need not: eight seconds of every run."""
    torch.set_num_threads(1)
    x = torch.eye(2).double()
    torch.testing.assert_close(x, x)
    x.grad = torch.linalg.inv(x) + torch.linalg.svd(x).U
    torch.optim.Adam([x]).step()


def main(
    solvers: tuple[str, ...] = tuple(MUTANTS),
    write: Annotated[bool, tyro.conf.arg(help="rewrite measurements/reliability.md")] = True,
    verbose: bool = False,
    each: Annotated[
        int | None, tyro.conf.arg(help="at most so many of each solver, spread over its list")
    ] = None,
) -> None:
    """Run the mutants of some solvers, or of all; exit status 2 if a pattern is not in its file."""
    wrong = missing(solvers)
    if wrong:
        print("\n".join(wrong), file=sys.stderr)
        raise SystemExit(2)
    _warm()
    started, survivors = time.perf_counter(), []
    rows: dict[str, list] = {}
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        hidden = shutil.ignore_patterns(
            "__pycache__", ".git", ".venv", "*.egg-info", "runs", ".mypy_cache", ".ruff_cache"
        )
        tree.mkdir()
        for part in ("src", "tests"):
            shutil.copytree(ROOT / part, tree / part, ignore=hidden)
        shutil.copy(ROOT / "pyproject.toml", tree)
        stamp = time.time() - 10**6
        for solver in solvers:
            path, by_file = tree / "src/hrdis/solvers" / f"{solver}.py", {}
            sound = path.read_text()
            listed = [(old, new) for old, news in MUTANTS[solver].items() for new in news]
            chosen = (
                range(len(listed))
                if each is None
                else range(0, len(listed), -(-len(listed) // each))
            )
            quick = in_place(tree, solver, [sound.replace(*listed[k]) for k in chosen])
            if not all(quick) and (file := notices(tree, solver, wider=False)):
                raise SystemExit(f"{solver}: {file} fails before anything is broken.")
            if verbose:
                print(f"{solver}: {sum(map(bool, quick))} of {len(quick)} in place", flush=True)
            for (old, new), file in zip((listed[k] for k in chosen), quick, strict=True):
                if file:
                    by_file[file] = by_file.get(file, 0) + 1
                    continue
                path.write_text(sound.replace(old, new))
                stamp += (
                    10  # a time of its own, so that no compiled file of another mutant is taken
                )
                os.utime(path, (stamp, stamp))
                file = notices(tree, solver, verbose)
                by_file[file] = by_file.get(file, 0) + 1
                if not file:
                    survivors.append(f"{solver}: {old!r} -> {new!r}")
                    print(f"survived: {survivors[-1]}", flush=True)
            path.write_text(sound)
            os.utime(path, (stamp + 5, stamp + 5))
            killed = sum(n for file, n in by_file.items() if file)
            where = ", ".join(f"{file} {n}" for file, n in by_file.items() if file)
            seconds = round(time.perf_counter() - started)
            where = ", ".join(f"{file} {n}" for file, n in by_file.items() if file)
            rows[solver] = [
                solver,
                sum(by_file.values()),
                killed,
                by_file.get("", 0),
                where,
                seconds,
            ]
            started = time.perf_counter()
            print(*rows[solver][:5], f"({seconds} s)", flush=True)
            if write:
                record(rows)
    if survivors:
        raise SystemExit("\n".join(["No test notices:", *survivors]))


def record(rows: dict[str, list]) -> None:
    """Keep the figures, those of solvers that were run before included, and rewrite the page from
    them.
    """
    if FIGURES.exists():
        with FIGURES.open(newline="") as file:
            rows = {line[0]: line for line in list(csv.reader(file))[1:]} | rows
    rows = {solver: rows[solver] for solver in MUTANTS if solver in rows}
    with FIGURES.open("w", newline="") as file:
        csv.writer(file).writerows(
            [["solver", "mutants", "killed", "survived", "by", "seconds"], *rows.values()]
        )
    total = [sum(int(row[k]) for row in rows.values()) for k in (1, 2, 3, 5)]
    lines = [[f"`{row[0]}.py`", *row[1:5]] for row in rows.values()]
    text = table(
        ["file", "mutants", "killed", "survived", "by the first failing test, in"],
        [*lines, ["all", *total[:3], ""]],
    )
    rewrite(PAGE, "counts", text)
    rewrite(
        PAGE,
        "run",
        f"{total[0]} mutants of {len(rows)} solvers, {total[3] / 60:.0f} minutes on a shared core.",
    )


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)
