"""Training and evaluation of networks.

A recipe and folders of data become weights with a card: data sets, sampling with stain augmentation, losses,
the fit loop, and scores on held-out data.
"""
