"""Floor 5: the LightningModule, EMA, optimizers, callbacks, and the Trainer that joins them."""
