"""A prior of one's own: whatever answers ``x0_hat, eps = prior(x_t, t)``.

Pictures as stationary Gaussian noise whose power falls like 1 / f^2, as that of photographs does.
Its denoiser is Wiener's filter, in closed form for any size. Four lines of mathematics, beside a
network that was trained.

    python examples/own_prior.py
"""

from pathlib import Path

import torch
from torch import Tensor

import hrdis


class Spectral(hrdis.Prior):
    """x0 is grey noise of power P(f) = strength / (f^2 + floor^2), f in cycles per pixel, about
    mid-grey.
    """

    name = "spectral"

    def __init__(self, strength: float = 2e-3, floor: float = 0.02) -> None:
        super().__init__()
        self.schedule = hrdis.Schedule.linear()
        self.strength, self.floor = strength, floor

    def forward(self, x_t: Tensor, t: int) -> hrdis.priors.Prediction:
        q = self.schedule
        fy, fx = torch.fft.fftfreq(x_t.shape[-2])[:, None], torch.fft.rfftfreq(x_t.shape[-1])
        power = (self.strength / (fy**2 + fx**2 + self.floor**2)).to(x_t)
        # x_t has power alpha_bar P + 1 - alpha_bar; eps is the expected noise in it, x0_hat what is
        # left
        wiener = (1 - q[t]) / (q[t] * power + 1 - q[t])
        noise = torch.fft.irfft2(wiener * torch.fft.rfft2(x_t), s=x_t.shape[-2:])
        eps = noise / q.noise(t)
        return hrdis.priors.Prediction(q.denoised(x_t, t, eps), eps)


def main() -> None:
    picture = Path(hrdis.__file__).parent / "pictures" / "coffee.jpg"
    x = hrdis.images.load(picture)[..., 80:144, 80:144]
    A = hrdis.operators.Identity()
    problem = hrdis.measure(A, x, hrdis.noise.Gaussian(0.1), seeds=[0])
    print(f"noisy: {float(hrdis.metrics.psnr(problem.y, x)):.1f} dB")
    for prior in (Spectral(), hrdis.load_prior("default")):
        runs = 4
        many = hrdis.Problem(problem.y.expand(runs, -1, -1, -1).clone(), A, problem.sigma_y)
        mean = hrdis.solve(hrdis.DDRM(steps=20), prior, many, seeds=range(runs)).x.mean(
            0, keepdim=True
        )
        print(
            f"{prior.name}: {float(hrdis.metrics.psnr(mean, x)):.1f} dB, the mean of {runs} "
            "samples by DDRM"
        )


if __name__ == "__main__":
    main()
