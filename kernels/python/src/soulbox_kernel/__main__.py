"""`python3 -m soulbox_kernel`, for an installed package; the agent uses launch.py."""

import sys

from soulbox_kernel.app import main

main(sys.argv[1:])
