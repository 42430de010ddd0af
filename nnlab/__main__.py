"""python -m nnlab: the command nnlab."""

from nnlab.cli.app import main

main()
