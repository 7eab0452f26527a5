// Package packerexec drives the packer program: it finds it and its plugins,
// starts it in an environment of its own, reads its machine-readable output,
// and ends it in order. It knows Packer's command line and output, and what
// must never leave a build: private keys and credentials. It refuses to know
// what is built, and where; Packer itself is never linked.
package packerexec
