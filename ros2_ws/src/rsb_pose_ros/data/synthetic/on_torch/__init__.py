"""Drawing synthetic pairs with PyTorch, many at a time: on a GPU the pictures never leave it."""
