"""Floor 4: what the network learns from; targets, sampling, augmentation, loaders."""
