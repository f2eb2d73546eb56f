// Copies a snippet. Without this script it can be selected as well.
for (const button of document.querySelectorAll('button[data-copied]')) {
  const text = button.textContent;
  button.hidden = !navigator.clipboard;
  button.addEventListener('click', async () => {
    const code = button.closest('details').querySelector('code').textContent;
    try {
      await navigator.clipboard.writeText(code);
      button.textContent = button.dataset.copied;
      setTimeout(() => { button.textContent = text; }, 2000);
    } catch {
      getSelection().selectAllChildren(button.closest('details').querySelector('code'));
    }
  });
}
