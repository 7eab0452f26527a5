package aws

import (
	"context"
	"fmt"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/wpbake/wpbake/bake/inventory"
)

// uploads are a store's unfinished multipart uploads, which S3 keeps and bills
// until somebody ends them.
type uploads struct {
	client *s3.Client
	bucket string
	prefix string  // of keys
	owner  *string // account that must own the bucket
}

// Uploads are the unfinished uploads below a prefix of a bucket. With an
// owner, an account of 12 digits, the bucket must be that account's.
func (c *Clients) Uploads(bucket, prefix, owner string) inventory.Account {
	u := uploads{client: c.s3, bucket: bucket, prefix: prefix}
	if owner != "" {
		u.owner = &owner
	}
	return u
}

// Unfinished lists uploads: no other kind.
func (u uploads) Unfinished(ctx context.Context, kind inventory.Kind) ([]inventory.Resource, error) {
	if kind != inventory.Upload {
		return nil, fmt.Errorf("listing things of kind %q: a store has none", kind)
	}
	pages := s3.NewListMultipartUploadsPaginator(u.client, &s3.ListMultipartUploadsInput{
		Bucket: &u.bucket, Prefix: &u.prefix, ExpectedBucketOwner: u.owner,
	})
	var found []inventory.Resource
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return found, about(u.bucket+"/"+u.prefix, err)
		}
		for _, one := range page.Uploads {
			found = append(found, inventory.Resource{
				Kind: inventory.Upload, ID: sdk.ToString(one.UploadId), Name: sdk.ToString(one.Key), Created: sdk.ToTime(one.Initiated),
			})
		}
	}
	return found, nil
}

// Remove ends an upload and frees its parts. A part that was on its way at
// that moment is found by the next look.
func (u uploads) Remove(ctx context.Context, r inventory.Resource) error {
	_, err := u.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{
		Bucket: &u.bucket, Key: &r.Name, UploadId: &r.ID, ExpectedBucketOwner: u.owner,
	})
	if isGone(err) {
		return nil
	}
	return about(r.Name, err)
}

// Ended is for instances.
func (u uploads) Ended(context.Context, string) error { return nil }
