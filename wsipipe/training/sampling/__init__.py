"""Random batches of crops and mosaics, with augmentation."""
