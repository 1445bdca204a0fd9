"""The numbers the paper prints, in percent.

Figures are given only where the paper's text states a point of them; their
curves were not measured off the drawings.
"""

# {(data set, network): {method: accuracy}}
TABLE1 = {
    ("CIFAR-100", "SEW-18"): {
        "Baseline": 76.07,
        "TCL": 77.38,
        "STCL w/o CL": 78.60,
        "STCL": 79.51,
    },
    ("CIFAR-100", "SEW-34"): {
        "Baseline": 77.14,
        "TCL": 77.84,
        "STCL w/o CL": 79.63,
        "STCL": 80.30,
    },
    ("CIFAR-10", "SEW-18"): {
        "Baseline": 94.47,
        "TCL": 94.92,
        "STCL w/o CL": 95.44,
        "STCL": 95.97,
    },
    ("CIFAR-10", "SEW-34"): {
        "Baseline": 94.48,
        "TCL": 94.95,
        "STCL w/o CL": 96.07,
        "STCL": 96.39,
    },
    ("DVS-CIFAR10", "SEW-18"): {
        "Baseline": 75.60,
        "TCL": 77.20,
        "STCL w/o CL": 74.70,
        "STCL": 76.60,
    },
    ("DVS-CIFAR10", "SEW-34"): {
        "Baseline": 74.70,
        "TCL": 76.60,
        "STCL w/o CL": 75.50,
        "STCL": 78.30,
    },
}

# {data set: {method: accuracy}}, SEW-18
TABLE2 = {
    "CUB": {"Baseline": 50.48, "TCL": 50.29, "STCL": 57.46},
    "Car": {"Baseline": 77.95, "TCL": 78.73, "STCL": 83.37},
    "Aircraft": {"Baseline": 64.30, "TCL": 66.37, "STCL": 70.15},
    "Flowers": {"Baseline": 89.90, "TCL": 90.00, "STCL": 94.90},
    "Dogs": {"Baseline": 58.79, "TCL": 59.16, "STCL": 61.24},
}

# {(data set, network): {method: accuracy}}, T = 4
TABLE3 = {
    ("CIFAR-10", "ResNet-19"): {"TCL": 95.03, "STCL": 96.35},
    ("CIFAR-100", "ResNet-19"): {"TCL": 79.73, "STCL": 81.84},
    ("DVS-CIFAR10", "VGG"): {"TCL": 79.10, "STCL": 79.80},
}

# The methods table 3 cites: (data set, method, network, T, accuracy).
TABLE3_CITED = [
    ("CIFAR-10", "TET (ICLR 2022)", "ResNet-19", 6, 94.50),
    ("CIFAR-10", "Rec-Dis (CVPR 2022)", "ResNet-19", 6, 95.55),
    ("CIFAR-10", "TEBN (NeurIPS 2022)", "ResNet-19", 6, 95.60),
    ("CIFAR-10", "GLIF (NeurIPS 2022)", "ResNet-19", 6, 95.03),
    ("CIFAR-10", "ESG (NeurIPS 2022)", "ResNet-19", 6, 95.49),
    ("CIFAR-100", "TET (ICLR 2022)", "ResNet-19", 6, 74.72),
    ("CIFAR-100", "Rec-Dis (CVPR 2022)", "ResNet-19", 6, 74.10),
    ("CIFAR-100", "TEBN (NeurIPS 2022)", "ResNet-19", 6, 78.76),
    ("CIFAR-100", "GLIF (NeurIPS 2022)", "ResNet-19", 6, 77.35),
    ("DVS-CIFAR10", "Dspike (NeurIPS 2021)", "ResNet18", 10, 75.40),
    ("DVS-CIFAR10", "TET (ICLR 2022)", "VGG", 10, 83.17),
    ("DVS-CIFAR10", "Rec-Dis (CVPR 2022)", "ResNet-19", 10, 72.42),
    ("DVS-CIFAR10", "DSR (CVPR 2022)", "VGG", 20, 77.27),
    ("DVS-CIFAR10", "TEBN (NeurIPS 2022)", "VGG", 10, 84.90),
]

# {method: firing rates of the blocks 1 to 8}, SEW-18 on CIFAR-100
TABLE4 = {
    "Baseline": [30.18, 38.51, 18.25, 25.83, 8.52, 13.9, 6.89, 13.81],
    "TCL": [32.98, 43.98, 22.23, 32.83, 11.52, 18.84, 10.33, 22.68],
    "STCL": [28.95, 34.28, 20.75, 28.11, 13.85, 20.46, 7.97, 22.20],
}

# {(network, method): {t: accuracy}}, CIFAR-100, trained at T = 8 (section 1)
FIGURE2 = {
    ("SEW-18", "Baseline"): {1: 44.19, 8: 76.98},
    ("SEW-18", "TET"): {1: 68.72, 8: 76.98},
    ("SEW-18", "TCL"): {1: 69.65, 8: 77.96},
    ("Spiking-ResNet", "Baseline"): {1: 48.93, 8: 76.85},
    ("Spiking-ResNet", "TET"): {1: 67.07, 8: 77.13},
    ("Spiking-ResNet", "TCL"): {1: 70.09, 8: 77.83},
}

# {(swept, method): {value: accuracy}}, SEW-18 on CIFAR-100 (section 5.5)
FIGURE3 = {
    ("temperature", "TCL"): {0.07: 77.38},
    ("temperature", "STCL"): {0.06: 79.74, 0.07: 79.51},
    ("weight", "TCL"): {0.5: 77.38},
    ("weight", "STCL"): {2.0: 79.57, 5.0: 79.51},
}

# {(data set, method): {T: accuracy}}, SEW-18 (section 5.5, and table 1)
FIGURE4 = {
    ("CIFAR-10", "Baseline"): {4: 94.47},
    ("CIFAR-10", "TCL"): {4: 94.92},
    ("CIFAR-10", "STCL"): {4: 95.97},
    ("CIFAR-100", "Baseline"): {4: 76.07},
    ("CIFAR-100", "TCL"): {4: 77.38},
    ("CIFAR-100", "STCL"): {4: 79.51, 8: 80.07},
}
