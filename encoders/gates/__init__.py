"""GATES and its descendants: data flows through an architecture, and operations gate it."""
