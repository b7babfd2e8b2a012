"""Suites that ship with archrank, one YAML file each."""
