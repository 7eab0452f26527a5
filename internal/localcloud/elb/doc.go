// Package elb behaves as an AWS Application Load Balancer does: load
// balancers, listeners, target groups, health checks and draining, served by
// a real reverse proxy on loopback.
//
// It knows when a target gets requests, what a client sees when a target is
// slow, gone or was never there, and what the service says about a target's
// health. It refuses to know what an instance is: Addresses tells where one
// can be reached. It knows HTTP listeners that forward; no TLS, no rules.
//
// Health check intervals and the deregistration delay run on the cloud's
// clock, which may be faster than AWS's. Timeouts do not: they measure work
// that targets really do.
package elb
