"""Where `benches/run` starts the driver. It stands here so that its folder is the one that is searched
for modules, and whoever calls it may be anywhere."""

import sys

from driver.main import main

sys.exit(main())
