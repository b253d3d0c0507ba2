"""placeholder"""


def run_demo(language: str, profile: str) -> int:
    return 0
