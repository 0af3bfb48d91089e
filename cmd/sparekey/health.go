package main

import (
	"fmt"
	"net/http"
	"time"
)

// healthCommand asks a server whether it is ready: for images that have no other program to ask with.
func healthCommand(c *call) error {
	url, err := c.one("address, such as http://127.0.0.1:8080/readyz")
	if err != nil {
		return err
	}
	res, err := (&http.Client{Timeout: 2 * time.Second}).Get(url)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("not ready: %s", res.Status)
	}
	return nil
}
