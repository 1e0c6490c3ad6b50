"""How to open what somebody else may have put there: follow no link, wait for nobody, leak into no test."""

import os

SAFELY = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
FOLDER = os.O_DIRECTORY | SAFELY
