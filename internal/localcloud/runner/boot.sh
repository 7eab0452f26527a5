#!/bin/sh
# The first process of every machine: runs the parts of user data in order, one
# failing without ending the rest, then stays as long as the machine is up.
# Waiting also collects the children of daemons that left them behind.
# Descriptor 3 tells the runner that the machine is booting.
#
# It powers the machine off at the signal at which systemd does. A machine has
# no systemd, and shutdown would mean the host's where that can be reached.
trap 'exit 0' RTMIN+4
INSTANCE_INIT=$$
export INSTANCE_INIT
echo booting >&3
exec 3>&-
for script; do
	"$script" || echo "Failed running $script [$?]"
done
while :; do
	sleep 86400 &
	wait "$!"
done
