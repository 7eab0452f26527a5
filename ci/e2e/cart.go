package e2e

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// cartPage shows the cart that the plugin wpb-shop keeps in the PHP session.
const cartPage = "/wpb-cart"

// cartSize is how many items a customer puts into the cart before buying it.
const cartSize = 20

// fill is a customer whose cart must grow by exactly the item that was put
// into it, and be sold as it was filled.
func (l *Load) fill(ctx context.Context, pace time.Duration) {
	client := newClient()
	defer client.CloseIdleConnections()
	var c cart
	for {
		body, release, err := l.get(ctx, client, c.page())
		l.count(release, err)
		if err != nil {
			c.failed()
		} else if release != NoRelease {
			l.step(c.next(body))
		}
		if !pause(ctx, pace) {
			return
		}
	}
}

func (l *Load) step(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tally.Carts++
	l.lost(err)
}

// cart follows the contents of one cart: items 1, 2, 3 and so on.
type cart struct {
	items   int
	unsure  bool // the last answer never came: the step may have counted
	foreign bool // it holds what was not put into it: lost, and told
}

// page is the customer's next step. After one whose answer never came, that is
// a look at the cart; a foreign cart is got rid of.
func (c *cart) page() Page {
	switch {
	case c.unsure:
		return Page{cartPage, "cart="}
	case c.foreign, c.items == cartSize:
		return Page{cartPage + "?buy=1", "bought="}
	}
	return Page{fmt.Sprintf("%s?add=%d", cartPage, c.items+1), "cart="}
}

func (c *cart) failed() { c.unsure = true }

// next judges what the step to page answered.
func (c *cart) next(body string) error {
	before := *c
	after, want := c.items+1, "cart="+contents(c.items+1)
	if c.items == cartSize {
		after, want = 0, "bought="+contents(cartSize)
		if c.unsure {
			want = "cart=" + contents(0)
		}
	}
	*c = cart{}
	switch {
	case before.foreign && !before.unsure:
		return nil
	case before.foreign:
		c.foreign = true // whatever it looks like
		return nil
	case body == want:
		c.items = after
		return nil
	case before.unsure && body == "cart="+contents(before.items):
		c.items = before.items
		return nil
	}
	c.foreign = !strings.HasPrefix(body, "bought=")
	return fmt.Errorf("%s: a cart of %d items answers %.80q, want %.80q", cartPage, before.items, body, want)
}

// contents is how the plugin shows the first n items.
func contents(n int) string {
	items := make([]string, n)
	for i := range items {
		items[i] = strconv.Itoa(i + 1)
	}
	return fmt.Sprintf("%d %s", n, strings.Join(items, ","))
}
