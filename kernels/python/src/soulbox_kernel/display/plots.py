"""x"""


def install(shell):
    pass
