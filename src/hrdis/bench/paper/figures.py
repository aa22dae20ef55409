"""Four figures of the paper as data, in the form of its tables.

5: several samples of one measurement. 9: the share beta of fresh noise. 17: how DDS and HRDIS get
to their answer. 21: the distance epsilon of the times. The paper says which values and methods;
what it leaves open is in `NOTES`.
"""

from .tables import FFHQ, IMAGENET, METHODS, Column, Method, Table

BETAS = (0.0, 0.1, 0.2, 0.5, 1.0)
EPSILONS = (0.001, 0.005, 0.007, 0.01, 0.02, 0.05, 0.1)

METRICS = ("LPIPS", "FID", "PSNR", "SSIM")

FIGURES: dict[int, Table] = {
    5: Table(
        "figure 5", "Diversity of samples: HRDIS and RED-diff",
        (
            Column(IMAGENET, "inpaint_freeform_20-30", "inpaint-20-30", ("diversity", *METRICS),
            seeds=3),
            Column(FFHQ, "sr_x16", "sr16", ("diversity", *METRICS), seeds=3),
        ),
        (METHODS["RED-diff"], METHODS["HRDIS"]),
    ),
    9: Table(
        "figure 9", "Ablation of beta",
        (
            Column(IMAGENET, "inpaint_freeform_20-30", "inpaint-20-30", METRICS),
            Column(IMAGENET, "sr_x4", "sr4", METRICS),
            Column(FFHQ, "nonlinear_deblur", "deblur-nonlinear", METRICS),
        ),
        tuple(Method(f"beta={beta:g}", "hrdis", {"beta": beta}) for beta in BETAS),
    ),
    17: Table(
        "figure 17", "Evolution of DDS and HRDIS",
        (
            Column(IMAGENET, "inpaint_freeform_20-30", "inpaint-20-30", METRICS),
            Column(IMAGENET, "sr_x4", "sr4", METRICS),
        ),
        (METHODS["DDS"], METHODS["HRDIS"]), frames=8,
    ),
    21: Table(
        "figure 21", "Ablation of epsilon",
        (
            Column(FFHQ, "inpaint_freeform_30-40", "inpaint-30-40", METRICS),
            Column(FFHQ, "sr_x16", "sr16", METRICS),
        ),
        tuple(Method(f"epsilon={epsilon:g}", "hrdis",
        {"epsilon": epsilon}) for epsilon in EPSILONS),
    ),
}  # fmt: skip

NOTES = {
    5: "Tasks are not stated; the number of samples is the figure's. All share one measurement.",
    9: (
        "Inpainting's band is not stated; 20-30 % and x4 as in the paper's other ablation (Table "
        "8)."
    ),
    17: (
        "The task is not stated. Frames show the answer so far, and beside it the noisy state that "
        "the network sees."
    ),
    21: (
        "epsilon is the distance of neighbouring times, on a scale where all times are 1: steps = "
        "span / epsilon on an even grid, all else as in the preset. The paper does not say how it "
        "was varied."
    ),
}  # fmt: skip
