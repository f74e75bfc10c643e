"""Version of the program, for programs that were copied and not installed."""

VERSION = "0.1.0"
