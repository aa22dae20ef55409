"""Four figures of the paper as data, in the form of its tables.

5: several samples of one measurement. 9: the share beta of fresh noise. 17: the course of DDS and
HRDIS from the first step to the last. 21: the distance epsilon of the times. Values and methods are
the paper's; choices where it says nothing are explained in `FIGURE_NOTES`.
"""

from .tables import FFHQ, IMAGENET, METHODS, Column, Method, PaperTable

BETAS = (0.0, 0.1, 0.2, 0.5, 1.0)
EPSILONS = (0.001, 0.005, 0.007, 0.01, 0.02, 0.05, 0.1)

METRICS = ("LPIPS", "FID", "PSNR", "SSIM")
SAMPLE_METRICS = ("diversity", *METRICS)

FIGURES: dict[int, PaperTable] = {
    5: PaperTable(
        "figure 5",
        "Diversity of samples: HRDIS and RED-diff",
        (
            Column(IMAGENET, "inpaint_freeform_20-30", "inpaint-20-30", SAMPLE_METRICS, seeds=3),
            Column(FFHQ, "sr_x16", "sr16", SAMPLE_METRICS, seeds=3),
        ),
        (METHODS["RED-diff"], METHODS["HRDIS"]),
    ),
    9: PaperTable(
        "figure 9",
        "Ablation of beta",
        (
            Column(IMAGENET, "inpaint_freeform_20-30", "inpaint-20-30", METRICS),
            Column(IMAGENET, "sr_x4", "sr4", METRICS),
            Column(FFHQ, "nonlinear_deblur", "deblur-nonlinear", METRICS),
        ),
        tuple(Method(f"beta={beta:g}", "hrdis", {"beta": beta}) for beta in BETAS),
    ),
    17: PaperTable(
        "figure 17",
        "Evolution of DDS and HRDIS",
        (
            Column(IMAGENET, "inpaint_freeform_20-30", "inpaint-20-30", METRICS),
            Column(IMAGENET, "sr_x4", "sr4", METRICS),
        ),
        (METHODS["DDS"], METHODS["HRDIS"]),
        frames=8,
    ),
    21: PaperTable(
        "figure 21",
        "Ablation of epsilon",
        (
            Column(FFHQ, "inpaint_freeform_30-40", "inpaint-30-40", METRICS),
            Column(FFHQ, "sr_x16", "sr16", METRICS),
        ),
        # `epsilon` is no setting of the solver: `plan.methods` turns it into steps.
        tuple(Method(f"epsilon={value:g}", "hrdis", {"epsilon": value}) for value in EPSILONS),
    ),
}

#: Choices where the paper leaves something open, by the number of the figure; shown in the report.
FIGURE_NOTES = {
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
}
