#!/bin/sh
# The first process of every machine: runs the parts of user data in order, one
# failing without ending the rest, then stays as long as the machine is up.
# Waiting also collects the children of daemons that left them behind.
# Descriptor 3 tells the runner that the machine is booting.
echo booting >&3
exec 3>&-
for script; do
	"$script" || echo "Failed running $script [$?]"
done
while :; do
	sleep 86400 &
	wait "$!"
done
