<?php // LOGIN_PAGE_KEY=… php -S 127.0.0.1:9001 login.php
if ($_SERVER['REQUEST_METHOD'] === 'POST') {
    // HERE find out who it is, by a password for instance: this page believes whatever is typed.
    $order = ['email' => $_POST['email'] ?? null, 'full_name' => $_POST['name'] ?? null,
              'return_url' => $_GET['return_url'] ?? null, 'state' => $_GET['state'] ?? null];
    $headers = ['Authorization: Bearer ' . getenv('LOGIN_PAGE_KEY'), 'Content-Type: application/json'];
    $call = ['method' => 'POST', 'header' => $headers, 'content' => json_encode($order), 'ignore_errors' => true];
    $url = (getenv('TOLLGATE_CONTROL') ?: 'http://127.0.0.1:8081') . '/v1/sso_tokens';
    $answer = @file_get_contents($url, false, stream_context_create(['http' => $call]));
    $redeem_url = json_decode((string) $answer)->redeem_url ?? null;
    if ($redeem_url === null) {
        error_log($answer ?: 'the control API does not answer');
        http_response_code(500);
        exit('Signing in did not work.');
    }
    header('Location: ' . $redeem_url, true, 303);
    exit;
}
?>
<!doctype html><meta charset="utf-8"><title>Sign in</title><form method="post">
E-mail <input name="email" type="email" required> Name <input name="name" required> <button>Sign in</button></form>
