package localcloud

import (
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/wpbake/wpbake/internal/wire"
)

func (c *Cloud) identityActions() wire.Actions {
	return wire.Actions{"GetCallerIdentity": wire.Handle(c.getCallerIdentity)}
}

// getCallerIdentity tells who signed the request.
func (c *Cloud) getCallerIdentity(ctx context.Context, _ *sts.GetCallerIdentityInput) (*sts.GetCallerIdentityOutput, error) {
	account, key := c.options.Account, wire.SignatureOf(ctx).AccessKey
	if session, ok := strings.CutPrefix(key, rolePrefix); ok {
		return &sts.GetCallerIdentityOutput{
			Account: &account, UserId: aws.String("AROAWPBAKENODE:" + session),
			Arn: aws.String(fmt.Sprintf("arn:aws:sts::%s:assumed-role/wpbake-node/%s", account, session)),
		}, nil
	}
	return &sts.GetCallerIdentityOutput{
		Account: &account, UserId: aws.String("AIDAWPBAKE"), Arn: aws.String("arn:aws:iam::" + account + ":user/wpbake"),
	}, nil
}
