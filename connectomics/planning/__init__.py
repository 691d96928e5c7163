"""Floor 4: from the volumes of a laboratory and a machine to the settings of a training, with the reasons."""
