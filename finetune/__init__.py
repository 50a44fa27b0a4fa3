"""How did the models learn it? Data builders, training, calibration, export."""
