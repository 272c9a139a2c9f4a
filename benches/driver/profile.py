"""Reads the profiles that callgrind writes, and tells what each function costs in a request.

`callgrind_annotate` cuts a function into the files from which code was inlined into it, and knows no
difference between two runs; this knows only what is needed here.
"""

import re
from collections import Counter
from dataclasses import dataclass, field

# Of the functions that cost most, so many are told, each with so many of its callers.
TOLD, CALLERS = 70, 3

NAME = re.compile(r"(c?fn)=\((\d+)\)(?: (.*))?")


@dataclass
class Profile:
    """Instructions by function."""

    own: Counter = field(default_factory=Counter)
    # With all that it calls.
    inclusive: Counter = field(default_factory=Counter)
    # By (callee, caller): what the calls cost.
    calls: Counter = field(default_factory=Counter)

    @classmethod
    def read(cls, path):
        profile, names = cls(), {}
        function = callee = None
        is_call = False
        with open(path, encoding="utf-8", errors="replace") as lines:
            for line in lines:
                if line[0] in "0123456789+-*":
                    cost = int(line.split()[1])
                    profile.inclusive[function] += cost
                    if is_call:
                        profile.calls[callee, function] += cost
                    else:
                        profile.own[function] += cost
                    is_call = False
                elif line.startswith("calls="):
                    # The next line has what the call cost, all in all.
                    is_call = True
                elif named := NAME.match(line):
                    kind, number, name = named.groups()
                    if name:
                        names[number] = name
                    if kind == "fn":
                        function = names[number]
                    else:
                        callee = names[number]
        return profile

    def since(self, other, requests):
        """What a request costs, if this one has so many more of them."""

        def difference(own, others):
            return Counter({name: (count - others[name]) / requests for name, count in own.items()})

        return Profile(
            difference(self.own, other.own),
            difference(self.inclusive, other.inclusive),
            difference(self.calls, other.calls),
        )


def told(profile):
    """Lines of text about the profile of a request."""
    total = sum(profile.own.values())
    yield f"{total:,.0f} user instructions a request\n\nin the function itself, and for whom:\n"
    for name, count in profile.own.most_common(TOLD):
        yield f"{count:10,.0f} {count / total:6.1%}  {name}{callers(profile, name)}"
    yield "\nwith what it calls:\n"
    for name, count in profile.inclusive.most_common(TOLD):
        yield f"{count:10,.0f} {count / total:6.1%}  {name}"


def callers(profile, name):
    """The callers that a function works for most, by the cost of their calls."""
    known = Counter({caller: count for (callee, caller), count in profile.calls.items() if callee == name})
    known = [(caller, count) for caller, count in known.most_common(CALLERS) if count >= 1]
    return "".join(f"\n{'':20}{count:8,.0f} for {caller}" for caller, count in known)
