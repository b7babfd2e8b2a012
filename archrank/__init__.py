"""archrank: which way of encoding a neural architecture ranks unseen architectures best?"""

__version__ = "0.1.0"
