"""Network parts shared by encoders. All treat a batch of padded graphs, and all work under `torch.func.vmap`."""
