# shellcheck shell=bash
# Sourced by ci/test and ci/soak: what ci/setup, ci/tools/build and ci/tree have
# brought here may not be missing. A test that needs it fails rather than skip.
# Only what ordinary users cannot have, being root, depends on who runs this.
WPBAKE_TEST_REQUIRE=php,mariadb,aws,curl,tar,zstd,bsdtar,python3-zstandard,sha256sum,git,skopeo,podman,qemu-i386-static,qemu-aarch64-static,wordpress
WPBAKE_TEST_REQUIRE+=,fsck.erofs,mkfs.ext4,mkfs.xfs
WPBAKE_TEST_REQUIRE+=,packer
if [ "$(id -u)" = 0 ]; then
	WPBAKE_TEST_REQUIRE+=,root
fi
# Debian has the later WordPress, and Chromium as a package.
if [ "$(. /etc/os-release && echo "$ID")" = debian ]; then
	WPBAKE_TEST_REQUIRE+=,next,chromium
fi
export WPBAKE_TEST_REQUIRE
