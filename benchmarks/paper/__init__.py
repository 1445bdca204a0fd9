"""The paper's tables and figures: `python -m benchmarks.paper --help`.

values.py         the numbers the paper prints
configuration.py  what one training run depends on
scales.py         data, networks and recipe at each scale
artefacts.py      the cells of every table and figure
optimizer.py      SGD with the weight decay the paper means
storage.py        files that are whole or not there; locks
checkpoints.py    the last two states of a run
training.py       one run: train or resume, evaluate
runner.py         all runs: skip, lock, report faults, estimate the time
report.py         Markdown
figures.py        PNG and PDF
"""
