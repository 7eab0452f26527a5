#!/bin/sh
# User data of an instance that builds an image: ends it when nobody else has,
# because whoever builds was killed or lost the network. With the shutdown
# behaviour "terminate" nothing of it stays. The timer is in memory only, so
# that nodes from the image have none.
#
# This is a template of Packer's: it fills in the lifetime, in seconds.

# shellcheck disable=SC2154
seconds=${lifetime}

if [ -n "$INSTANCE_INIT" ]; then
	# An instance of wpbake's local cloud: a systemd that could be reached is
	# that of the machine below, which must not hear of it. SIGRTMIN+4 is what
	# systemd powers off at, too.
	(sleep "$seconds" && kill -s RTMIN+4 "$INSTANCE_INIT") >/dev/null 2>&1 </dev/null &
elif ! systemd-run --quiet --on-active="$seconds" --timer-property=AccuracySec=1s systemctl poweroff; then
	shutdown -P "+$((seconds / 60 + 1))"
fi
