"""``python -m sandbox.caller <service>`` calls a running service and shows the conversation."""

import sys

from sandbox.caller.conversation import main

if __name__ == "__main__":
    sys.exit(main())
