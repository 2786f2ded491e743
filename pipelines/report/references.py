"""What the pitfalls of the checklist are known from."""

from __future__ import annotations

REFERENCES = {
    "Bouthillier et al. 2021": "Accounting for variance in machine learning benchmarks, MLSys",
    "DeGrave et al. 2021": (
        "AI for radiographic COVID-19 detection selects shortcuts over signal, "
        "Nature Machine Intelligence 3:610"
    ),
    "Fedoruk et al. 2023": (
        "Performance of GAN-based augmentation for deep learning COVID-19 image classification, "
        "arXiv:2304.09067"
    ),
    "Holm 1979": (
        "A simple sequentially rejective multiple test procedure, "
        "Scandinavian Journal of Statistics 6:65"
    ),
    "Kapoor & Narayanan 2023": (
        "Leakage and the reproducibility crisis in machine-learning-based science, "
        "Patterns 4:100804"
    ),
    "Lipton & Steinhardt 2019": (
        "Troubling trends in machine learning scholarship, ACM Queue 17(1), arXiv:1807.03341"
    ),
    "Maguolo & Nanni 2020": (
        "A critic evaluation of methods for COVID-19 automatic detection from X-ray images, "
        "arXiv:2004.12823"
    ),
    "Meehan et al. 2020": (
        "A non-parametric test to detect data-copying in generative models, AISTATS"
    ),
    "Roberts et al. 2021": (
        "Common pitfalls and recommendations for using machine learning to detect and "
        "prognosticate for COVID-19 using chest radiographs and CT scans, "
        "Nature Machine Intelligence 3:199"
    ),
    "Saad et al. 2022": (
        "Addressing the intra-class mode collapse problem using adaptive input image normalization "
        "in GAN-based X-ray images, EMBC"
    ),
    "Teixeira et al. 2021": (
        "Impact of lung segmentation on the diagnosis and explanation of COVID-19 in chest X-ray "
        "images, Sensors 21:7116"
    ),
    "Varoquaux & Cheplygina 2022": (
        "Machine learning for medical imaging: methodological failures and recommendations for "
        "the future, npj Digital Medicine 5:48"
    ),
    "Wang et al. 2020": "CNN-generated images are surprisingly easy to spot… for now, CVPR",
    "Zech et al. 2018": (
        "Variable generalization performance of a deep learning model to detect pneumonia in "
        "chest radiographs, PLOS Medicine 15:e1002683"
    ),
}
