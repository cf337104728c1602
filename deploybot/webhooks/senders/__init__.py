"""Who may call: one file a sender, which knows its proof and its payloads, and nothing of HTTP, rows or chats."""
