"""Finished files: one package a format writes them and reads them back; nothing is decided here."""
