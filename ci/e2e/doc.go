// Package e2e runs the stack that wpbake is for, with real programs on this
// machine: WordPress on nginx and PHP-FPM, MariaDB, memcached, and the local
// cloud started by the wpbake binary. It also holds the load client that
// judges a rollout from the outside, and plugins that behave as badly as some
// do.
//
// It knows how each program is started, stopped and asked whether it is
// ready. It refuses to know wpbake's packages: like a user it has the binary,
// its exit codes and the AWS SDK.
package e2e
