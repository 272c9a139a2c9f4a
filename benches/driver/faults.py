"""Why something has no figure."""


class LeftOut(Exception):
    """Something cannot be measured here, which is said and no failure: a program is missing, or does
    not do this."""


class Unproven(Exception):
    """Something does not do what its figure would claim. A run with one of these has failed."""
