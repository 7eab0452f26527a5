#!/bin/sh
# Makes a machine's file system, in mount, pid, uts and ipc namespaces of its
# own, and goes over to the boot script as process 1 in it. The working
# directory is the machine's own, with upper, work, root and disk in it.
#
# arguments: {overlay PATH DIR | bind PATH}... -- BOOT-SCRIPT SCRIPT...
set -eu

mount --make-rprivate / # from here on the host sees nothing of it
mount -t overlay overlay -o lowerdir=/,upperdir=upper,workdir=work root
mount -t proc proc root/proc
mount --rbind /dev root/dev
mkdir -p root/dev/disk # the host's own where it has udev
mount --bind disk root/dev/disk
mount -t tmpfs -o mode=1777 tmpfs root/dev/shm
mount -t tmpfs -o mode=0755 tmpfs root/run
mount -t tmpfs -o mode=1777 tmpfs root/tmp
mkdir -m 1777 root/run/lock
while [ "$1" != -- ]; do
	case $1 in
	overlay) # another of the host's file systems, with a layer of its own too
		mount -t overlay overlay -o "lowerdir=$2,upperdir=$3/upper,workdir=$3/work" "root$2" ||
			echo "file system at $2 is not there in this machine"
		shift 3
		;;
	bind) # something that the mounts above have hidden
		mkdir -p "root$2"
		mount --bind "$2" "root$2"
		mount -o remount,bind,ro "root$2"
		shift 2
		;;
	esac
done
shift
echo "ip-$(echo "$INSTANCE_ADDRESS" | tr . -)" >root/proc/sys/kernel/hostname

cd root
pivot_root . . # the old root lies over the new one now
umount -l .
exec chroot . /bin/sh "$@"
