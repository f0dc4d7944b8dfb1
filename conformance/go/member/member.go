// Package member is what the members of consumer groups in Go share: the configuration, which is the only argument, the
// lines that they print, the orders on standard input, and its end, at which they leave. groups/members.py has the words.
package member

import (
	"bufio"
	"encoding/json"
	"os"
	"sync"
	"time"
)

// Configuration is the argument.
type Configuration struct {
	Bootstrap, Group, Topic, Name string
	Assignor, Instance            string
	SessionMs                     int    `json:"session_ms"`
	Batch                         int    `json:"batch"`
	PauseMs                       int    `json:"pause_ms"`
	StopAt                        *int64 `json:"stop_at"`
}

// Order is what a member is told while it runs: to pause, resume or seek.
type Order struct {
	Do         string
	Partitions []int32
	Offset     int64
}

// Member prints; Closing is closed when it shall leave.
type Member struct {
	Configuration
	Closing chan struct{}
	Orders  chan Order
	lock    sync.Mutex
	once    sync.Once
}

// New reads the argument and listens on standard input.
func New() *Member {
	m := &Member{Closing: make(chan struct{}), Orders: make(chan Order, 16)}
	if err := json.Unmarshal([]byte(os.Args[1]), &m.Configuration); err != nil {
		panic(err)
	}
	if m.Batch == 0 {
		m.Batch = 500
	}
	go func() {
		for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
			var order Order
			if err := json.Unmarshal(lines.Bytes(), &order); err != nil {
				panic(err)
			}
			m.Orders <- order
		}
		m.Close()
	}()
	return m
}

// Close ends the member's loop.
func (m *Member) Close() { m.once.Do(func() { close(m.Closing) }) }

// IsClosing tells whether it shall end.
func (m *Member) IsClosing() bool {
	select {
	case <-m.Closing:
		return true
	default:
		return false
	}
}

// Say prints one event.
func (m *Member) Say(event string, fields map[string]any) {
	line := map[string]any{"at": time.Now().UnixMilli(), "event": event}
	for name, value := range fields {
		line[name] = value
	}
	text, _ := json.Marshal(line)
	m.lock.Lock()
	defer m.lock.Unlock()
	_, _ = os.Stdout.Write(append(text, '\n'))
}

// Partitions says that some were assigned, revoked or lost.
func (m *Member) Partitions(event string, partitions []int32) {
	if partitions == nil {
		partitions = []int32{}
	}
	m.Say(event, map[string]any{"partitions": partitions})
}

// Obeyed says that an order was carried out.
func (m *Member) Obeyed(order Order) { m.Say("obeyed", map[string]any{"do": order.Do}) }

// Read prints records of one partition. It returns how many of them were processed: the one at StopAt is the last.
func (m *Member) Read(partition int32, offsets []int64, values []string) int {
	count := len(offsets)
	if m.StopAt != nil {
		count = 0
		for count < len(offsets) && offsets[count] <= *m.StopAt {
			count++
		}
		if count > 0 && offsets[count-1] == *m.StopAt {
			m.Close()
		}
	}
	if count > 0 {
		m.Say("records", map[string]any{"partition": partition, "offsets": offsets[:count], "values": values[:count]})
	}
	return count
}

// Rest waits between two polls.
func (m *Member) Rest() { time.Sleep(time.Duration(m.PauseMs) * time.Millisecond) }
