#!/usr/bin/env bash
# Builds the image, deploys it on Fly.io, and waits until the new version is ready; if it does not become ready, deploys
# the previous image again. Run by: make deploy. Needs fly, logged in, and Python. Arguments go to fly deploy.
#
# A database that the new version has migrated stays migrated, and the old version refuses a newer schema. Then restore
# the volume's snapshot of the night before (fly volumes snapshots list).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

READY_SECONDS=${READY_SECONDS:-180}
LOOK_SECONDS=${LOOK_SECONDS:-3}

domain=$(sed -n 's/^DOMAIN = "\([^"]*\)".*/\1/p' fly.toml)
ready_url=${READY_URL:-https://$domain/health/ready}
label=$(date -u +%Y%m%d-%H%M%S)

# The image that the machine runs now, as registry/name:label@digest; empty before the first deployment.
running_image() {
    fly machine list --json | sed -n 's/.*"image": *"\([^"]*\)".*/\1/p' | head -n 1
}

answers_ok() {
    "${PYTHON:-python3}" -c 'import sys, urllib.request; urllib.request.urlopen(sys.argv[1], timeout=5)' "$1" 2>/dev/null
}

# Whether a machine with that image becomes ready within READY_SECONDS.
is_ready() {
    local wanted=$1 until=$((SECONDS + READY_SECONDS))
    while ((SECONDS <= until)); do
        if [[ $(running_image) == *"$wanted"* ]] && answers_ok "$ready_url"; then
            return 0
        fi
        sleep "$LOOK_SECONDS"
    done
    return 1
}

previous=$(running_image)
echo "Deploying $label; until now runs: ${previous:-nothing}"
if fly deploy --image-label "$label" "$@" && is_ready ":$label"; then
    echo "Ready: $label"
    exit 0
fi

if [[ $(running_image) == "$previous" ]]; then
    echo "Not deployed: nothing was changed." >&2
elif [[ -z $previous ]]; then
    echo "Not ready, and there is no version before it. See: fly logs" >&2
else
    echo "Not ready: going back to $previous" >&2
    if fly deploy --image "$previous" && is_ready "$previous"; then
        echo "The version before is ready again. What went wrong: fly logs" >&2
    else
        echo "The version before is not ready either. See: fly logs, fly volumes snapshots list" >&2
    fi
fi
exit 1
