"""How good it is: metrics against ground truth, reports, pictures. Needs matplotlib only for the pictures."""
