// Package aws drives Amazon Web Services for rollout, bake and node: it holds
// the adapters behind their interfaces, and the clients that stores are made
// of. It knows the SDK, the ways AWS spells things, and where AWS is only
// eventually consistent. It knows nothing of releases, makes no decision about
// one, and is the only place that imports the EC2 client.
package aws
