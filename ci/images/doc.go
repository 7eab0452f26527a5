// Package images tests what the image builders make: real Packer with its own
// builder for Amazon and our plugin, unmodified, against the local cloud.
package images
