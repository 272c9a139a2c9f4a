<?php // LOGIN_PAGE_SIGNING_KEY=… SITE_URL=https://… php -S 127.0.0.1:9001 signed.php
if ($_SERVER['REQUEST_METHOD'] !== 'POST')
    exit('<!doctype html><title>Sign in</title><form method="post"> E-mail <input name="email" type="email"
        required> Name <input name="name" required> <button>Sign in</button></form>');
// HERE find out who it is, by a password for instance: this page believes whatever is typed.
$claims = ['aud' => 'paper', 'iat' => time(), 'exp' => time() + 60, 'jti' => bin2hex(random_bytes(16)),
    'email' => $_POST['email'], 'name' => $_POST['name'],
    'return_url' => $_GET['return_url'] ?? null, 'state' => $_GET['state'] ?? null];
$encode = fn($bytes) => rtrim(strtr(base64_encode($bytes), '+/', '-_'), '=');
$signed = $encode('{"alg":"HS256","typ":"JWT"}') . '.' . $encode(json_encode($claims, JSON_THROW_ON_ERROR));
$token = $signed . '.' . $encode(hash_hmac('sha256', $signed, getenv('LOGIN_PAGE_SIGNING_KEY'), true));
header('Location: ' . getenv('SITE_URL') . '/.tollgate/redeem?sso=' . $token, true, 303);
